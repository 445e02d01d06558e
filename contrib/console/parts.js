// parts.js - what several pages are made of: states, tables, dialogs, badges

import { announce, h } from "./dom.js";
import { has, t } from "./text.js";

// problemText - of an error of ask.js, for people
export function problemText(error) {
	if (error.status === 0)
		return t("problem.network");
	if (error.status === 401)
		return t("problem.session");
	if (error.status === 403)
		return t("problem.role", { detail: error.message });
	if (error.status === 404)
		return t("problem.unknown");
	return error.message;
}

export function problem(error) {
	const text = problemText(error);

	announce(text);
	return h("p", { class: "note bad", role: "alert" }, text);
}

export const loading = () => h("p", { class: "quiet", "aria-busy": "true" }, t("loading"));
export const nothing = (text) => h("p", { class: "quiet" }, text ?? t("nothing"));

// section - with a heading; its content comes later: fill()
export function section(title, ...content) {
	const body = h("div", {}, ...content);
	const element = h("section", {}, h("h2", {}, title), body);

	return { element, fill: (...children) => body.replaceChildren(...children.flat(Infinity).filter(Boolean)) };
}

// load - a section's content: loading, then what was asked for, or what went wrong
export async function load(into, ask) {
	into.fill(loading());
	try {
		into.fill(await ask());
	} catch (error) {
		if (error.name === "AbortError")
			return;
		if (error.status === undefined)
			throw error;
		into.fill(problem(error));
	}
}

// badge - a state, by shape and words besides the colour
export function badge(kind, text) {
	const signs = { good: "\u2713", bad: "\u2715", warn: "!", unknown: "?" };

	return h("span", { class: `badge ${kind}` }, h("span", { "aria-hidden": "true" }, `${signs[kind]} `), text);
}

// outcome - of an action word
export function outcome(action) {
	const kinds = { accept: "good", warn: "warn", quarantine: "warn", tempfail: "warn", reject: "bad" };

	return badge(kinds[action] ?? "unknown", has(`action.${action}`) ? t(`action.${action}`) : action);
}

export function reason(word) {
	return has(`reason.${word}`) ? t(`reason.${word}`) : word;
}

function compare(a, b) {
	if (typeof a === "number" && typeof b === "number")
		return a - b;
	return String(a).localeCompare(String(b));
}

// table - columns: { name, value(row), show(row), number }; sortable by value
export function table(caption, columns, rows, sorted = null) {
	const head = h("tr", { role: "row" });
	const body = h("tbody", { role: "rowgroup" });
	let order = sorted;

	function paint() {
		const lines = order === null ? rows : rows.toSorted((a, b) =>
			(order.down ? -1 : 1) * compare(columns[order.column].value(a), columns[order.column].value(b)));

		body.replaceChildren(...lines.map((row) => h("tr", { role: "row" }, columns.map((column, i) =>
			h(i === 0 ? "th" : "td", { role: i === 0 ? "rowheader" : "cell", scope: i === 0 ? "row" : null,
				"data-label": column.name, class: column.number ? "number" : null },
			h("span", {}, column.show ? column.show(row) : column.value(row)))))));
		[...head.children].forEach((cell, i) => {
			if (order !== null && order.column === i)
				cell.setAttribute("aria-sort", order.down ? "descending" : "ascending");
			else
				cell.removeAttribute("aria-sort");
		});
	}

	head.append(...columns.map((column, i) => h("th", { role: "columnheader", scope: "col", class: column.number ? "number" : null },
		sorted === null || !column.value ? column.name : h("button", { type: "button", class: "sort", click: () => {
			order = { column: i, down: order.column === i ? !order.down : Boolean(column.number) };
			paint();
		} }, column.name))));
	const narrow = sorted === null ? null : field(t("sort.by"), choice(columns.map((column, i) => [String(i), column.name]), String(sorted.column)));

	narrow?.classList.add("narrow");
	narrow?.querySelector("select").addEventListener("change", (event) => {
		order = { column: Number(event.target.value), down: Boolean(columns[Number(event.target.value)].number) };
		paint();
	});
	paint();
	return h("div", { class: "wide" }, narrow, h("table", { role: "table", class: "cards" }, h("caption", {}, caption), h("thead", { role: "rowgroup" }, head), body));
}

let fields = 0;

// field - a label and its control
export function field(label, control, hint) {
	const id = `field-${++fields}`;

	control.id = id;
	if (hint)
		control.setAttribute("aria-describedby", `${id}-hint`);
	return h("p", { class: "field" }, h("label", { for: id }, label), control, hint ? h("small", { id: `${id}-hint` }, hint) : null);
}

export function choice(values, chosen) {
	return h("select", {}, values.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
}

// ask - a question before something is changed; act() does it. Resolves when the dialog is closed.
export function ask(title, text, inputs, button, act, dangerous) {
	const id = `dialog-${++fields}`;
	const went = h("div", {});
	const go = h("button", { type: "submit", class: dangerous ? "danger" : "primary" }, button);
	const close = h("button", { type: "button", click: () => dialog.close() }, t("cancel"));
	const form = h("form", { method: "dialog", submit: async (event) => {
		event.preventDefault();
		go.disabled = true;
		went.replaceChildren();
		try {
			await act();
			dialog.close();
		} catch (error) {
			went.replaceChildren(problem(error));
		}
		go.disabled = false;
	} }, h("h2", { id }, title), text ? h("p", {}, text) : null, inputs, went, h("p", { class: "buttons" }, close, go));
	const dialog = h("dialog", { "aria-labelledby": id }, form);

	document.body.append(dialog);
	return new Promise((done) => {
		dialog.addEventListener("close", () => {
			dialog.remove();
			done();
		});
		dialog.showModal();
	});
}

// choose - one of a few, as radio buttons in a row
export function choose(legend, values, chosen, changed) {
	const name = `choice-${++fields}`;

	return h("fieldset", { class: "choose" }, h("legend", { class: "unseen" }, legend), values.map(([value, text]) =>
		h("label", {}, h("input", { type: "radio", name, value, checked: value === chosen, change: () => changed(value) }), h("span", {}, text))));
}
