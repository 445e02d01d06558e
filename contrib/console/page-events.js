// page-events.js - what operators should know

import { get } from "./ask.js";
import { h } from "./dom.js";
import { choice, field, load, nothing, section, table } from "./parts.js";
import { has, plural, t, time, zone } from "./text.js";

export const eventWord = (kind) => has(`event.${kind}`) ? t(`event.${kind}`) : kind;
export const eventSubject = (event) => event.account ?? event.domain ?? [event.check, event.where].filter(Boolean).join(" ");

// eventTable - of events; a host is shown if there is more than one
export function eventTable(caption, events, linked = true) {
	const several = new Set(events.map((event) => event.filter)).size > 1;
	const columns = [
		{ name: t("time"), value: (event) => Date.parse(event.time), show: (event) => time(Date.parse(event.time)) },
		{ name: t("events.kind"), value: (event) => eventWord(event.event) },
		{ name: t("events.about"), value: eventSubject, show: (event) => event.account && linked ?
			h("a", { href: `#/account/${encodeURIComponent(event.account)}` }, event.account) : eventSubject(event) },
		{ name: t("events.text"), value: (event) => event.text },
		several ? { name: t("filter"), value: (event) => event.filter } : null,
	].filter(Boolean);

	return table(caption, columns, events, { column: 0, down: true });
}

const values = (events, of) => [["", t("all")], ...[...new Set(events.map(of))].sort().map((value) => [value, value])];

export async function showEvents({ body, signal }) {
	const list = section(t("events.title"));

	list.element.querySelector("h2").className = "unseen";
	body.append(h("p", { class: "quiet" }, t("zone", { zone: zone() })), list.element);
	await load(list, async () => {
		const { events } = await get("events", { limit: 1000 }, signal);

		if (events.length === 0)
			return nothing(t("events.none"));
		const kind = choice([["", t("all")], ...[...new Set(events.map((event) => event.event))].map((word) => [word, eventWord(word)])], "");
		const host = choice(values(events, (event) => event.filter), "");
		const shown = h("div", {});
		const paint = () => {
			const wanted = events.filter((event) => (kind.value === "" || event.event === kind.value) && (host.value === "" || event.filter === host.value));

			shown.replaceChildren(eventTable(plural("events.caption", wanted.length), wanted));
		};

		kind.addEventListener("change", paint);
		host.addEventListener("change", paint);
		paint();
		return h("div", {}, h("div", { class: "bar-of-fields" }, field(t("events.kind"), kind), field(t("filter"), host)), shown);
	});
}
