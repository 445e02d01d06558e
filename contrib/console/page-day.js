// page-day.js - accounts and domains of a day, by reason

import { get } from "./ask.js";
import { h } from "./dom.js";
import { choice, choose, field, load, nothing, reason, section, table } from "./parts.js";
import { bytes, number, t } from "./text.js";

export const sum = (counts) => Object.values(counts ?? {}).reduce((a, b) => a + b, 0);

const today = () => new Date().toISOString().slice(0, 10);

function lines(what, rows, why) {
	const counted = (counts) => why === "" ? sum(counts) : counts?.[why] ?? 0;
	const figure = (name, value, show = number) => ({ name, value, show: (row) => show(value(row)), number: true });

	return table(t(`day.${what}s`), [
		{ name: t(`day.${what}`), value: (row) => row.name, show: (row) => what === "account" && row.name !== "*" ?
			h("a", { href: `#/account/${encodeURIComponent(row.name)}` }, row.name) : row.name },
		figure(t("messages"), (row) => row.messages),
		figure(t("recipients"), (row) => row.recipients),
		figure(t("day.refused"), (row) => counted(row.refused)),
		figure(t("day.would"), (row) => counted(row.would_be_refused)),
		figure(t("day.bytes"), (row) => row.bytes, bytes),
		what === "account" ? figure(t("day.peak"), (row) => row.peak_hour_recipients) : null,
	].filter(Boolean), rows, { column: 2, down: true });
}

export async function showDay({ body, session, signal }) {
	const day = h("input", { type: "date", value: today(), max: today(), required: true });
	const domain = session.domains.length > 0 ? choice(session.domains.map((name) => [name, name]), session.domains[0]) : h("input", { type: "text", spellcheck: "false", autocapitalize: "none" });
	const why = choice([["", t("day.any")]], "");
	const list = section(t("day.title"));
	let report = null, what = "account";

	list.element.querySelector("h2").className = "unseen";
	function paint() {
		const total = report.total, rows = what === "account" ? report.accounts : report.domains;
		const wanted = why.value === "" ? rows : rows.filter((row) => row.refused?.[why.value] || row.would_be_refused?.[why.value]);

		if (rows.length === 0)
			return nothing(t("day.none"));
		return h("div", {}, h("p", { class: "note" }, t("day.total", { messages: number(total.messages), recipients: number(total.recipients),
			refused: number(sum(total.refused)), would: number(sum(total.would_be_refused)) })),
		choose(t("day.title"), [["account", t("day.accounts")], ["domain", t("day.domains")]], what, (value) => {
			what = value;
			list.fill(paint());
			list.element.querySelector(":checked").focus();
		}),
		what === "account" && report.n_accounts > rows.length ? h("p", { class: "quiet" }, t("day.first", { n: number(rows.length) })) : null,
		lines(what, wanted, why.value));
	}
	const read = () => load(list, async () => {
		report = await get("report", { day: day.value, domain: domain.value.trim(), limit: 1000 }, signal);
		const words = [...new Set([...Object.keys(report.total.refused ?? {}), ...Object.keys(report.total.would_be_refused ?? {})])].sort();
		const kept = why.value;

		why.replaceChildren(...[["", t("day.any")], ...words.map((word) => [word, reason(word)])].map(([value, text]) => h("option", { value }, text)));
		why.value = words.includes(kept) ? kept : "";
		return paint();
	});

	why.addEventListener("change", () => list.fill(paint()));
	day.addEventListener("change", () => day.value !== "" && read());
	domain.addEventListener("change", read);
	body.append(h("div", { class: "bar-of-fields" }, field(t("day.day"), day), field(t("day.domain"), domain), field(t("day.reason"), why)), list.element);
	await read();
}
