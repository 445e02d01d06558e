// console_look.js - what is wrong with a page for those who cannot see it, or see it badly
//
// Run in the page; returns a list of texts. Names of controls, headings, landmarks, ids, tables,
// and the contrast of each text, by WCAG 2.2 AA.
const faults = [];
const open = document.querySelector("dialog[open]");
const inside = open ?? document.body;
const all = (selector) => [...inside.querySelectorAll(selector)];
const html = (one) => one.outerHTML.slice(0, 120);
const shown = (one) => one.checkVisibility({ opacityProperty: false, visibilityProperty: true });

const named = (one) => {
	const by = (one.getAttribute("aria-labelledby") ?? "").split(" ").filter(Boolean).map((id) => document.getElementById(id)?.textContent ?? "");

	return (one.getAttribute("aria-label") ?? "").trim() || by.join(" ").trim() || [...(one.labels ?? [])].map((label) => label.textContent).join(" ").trim() ||
		(one.matches("input, select, textarea") ? "" : one.textContent.trim());
};

for (const one of all("a, button, input, select, textarea, summary, dialog, [role=meter], [role=img], [role=group]"))
	if (shown(one) && named(one) === "")
		faults.push("no name: " + html(one));
if (open !== null && named(open) === "")
	faults.push("the dialog has no name");
for (const one of all("img"))
	if (!one.hasAttribute("alt"))
		faults.push("no alt: " + html(one));
for (const one of all("svg"))
	if (!one.hasAttribute("role") && one.getAttribute("aria-hidden") !== "true")
		faults.push("no role: " + html(one));

const ids = all("[id]").map((one) => one.id);
for (const id of ids)
	if (ids.indexOf(id) !== ids.lastIndexOf(id))
		faults.push("twice: " + id);
for (const name of ["aria-describedby", "aria-labelledby", "for"])
	for (const one of all(`[${name}]`))
		if (document.getElementById(one.getAttribute(name)) === null)
			faults.push(`${name} names nothing: ` + html(one));

const heads = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].filter((one) => !one.closest("dialog")).map((one) => Number(one.tagName[1]));
if (heads.filter((level) => level === 1).length !== 1)
	faults.push("not one h1: " + heads);
heads.forEach((level, i) => {
	if (i > 0 && level > heads[i - 1] + 1)
		faults.push("a heading is left out: " + heads);
});
for (const name of ["header", "nav", "main"])
	if (document.querySelectorAll(name).length !== 1)
		faults.push("not one " + name);
if (!/^[a-z]{2}$/.test(document.documentElement.lang))
	faults.push("no language");
if (document.title.trim() === "")
	faults.push("no title");
for (const one of all("table"))
	if (one.caption === null || one.querySelector("th[scope=row]") === null)
		faults.push("a table without caption or heads of rows: " + html(one));
for (const one of all("[tabindex]"))
	if (Number(one.getAttribute("tabindex")) > 0)
		faults.push("tabindex: " + html(one));
for (const one of all("button, input:not([type=radio]), select, textarea, nav a"))
	if (shown(one) && (one.getBoundingClientRect().width < 24 || one.getBoundingClientRect().height < 24))
		faults.push("small: " + html(one));

// --- contrast

const colour = (text) => {
	const numbers = text.match(/[\d.]+/g)?.map(Number) ?? [0, 0, 0, 0];

	return numbers.length < 4 ? [...numbers.slice(0, 3), 1] : numbers;
};
const light = ([r, g, b]) => {
	const part = (value) => value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4;

	return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
};
const behind = (one) => {
	for (let at = one; at !== null; at = at.parentElement) {
		const found = colour(getComputedStyle(at).backgroundColor);

		if (found[3] === 1)
			return found;
	}
	return [255, 255, 255, 1];
};
const contrast = (a, b) => {
	const [low, high] = [light(a), light(b)].sort((x, y) => x - y);

	return (high + 0.05) / (low + 0.05);
};
const walker = document.createTreeWalker(inside, NodeFilter.SHOW_TEXT);

while (walker.nextNode()) {
	const one = walker.currentNode.parentElement, style = getComputedStyle(one);

	if (walker.currentNode.textContent.trim() === "" || !shown(one) || one.closest(".unseen, noscript, title, :disabled"))
		continue;
	const text = colour(one instanceof SVGElement ? style.fill : style.color), ratio = contrast(text, behind(one));

	if (ratio < 4.5)
		faults.push(`contrast ${ratio.toFixed(2)}: ` + html(one));
}
for (const one of all("rect.bar, rect.fill"))
	if (contrast(colour(getComputedStyle(one).fill), behind(one)) < 3)
		faults.push("contrast of a bar: " + html(one));
return [...new Set(faults)].slice(0, 12);
