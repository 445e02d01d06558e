// page-now.js - how it goes now

import { get } from "./ask.js";
import { announce, h } from "./dom.js";
import { badge, choose, load, loading, nothing, reason, section, table } from "./parts.js";
import { number, plural, span, t, time, zone } from "./text.js";
import { rates } from "./figures.js";
import { eventTable } from "./page-events.js";

const EVERY_MS = 10000;

const tile = (title, state, ...more) => h("li", {}, h("h3", {}, title), h("p", {}, state), more.map((text) => text ? h("p", { class: "quiet" }, text) : null));

function tiles(status) {
	const store = status.store, books = status.books, keys = status.withheld_keys;

	return h("ul", { class: "tiles" },
		tile(t("now.daemon"), status.draining ? badge("warn", t("now.draining")) : badge("good", t("now.running", status)),
			t("now.since", { version: status.version, span: span(status.uptime_s * 1000) })),
		tile(t("now.listener"), status.listener.answers ? badge("good", t("now.answers")) : badge("bad", t("now.silent", status.listener))),
		tile(t("now.store"), store.away ? badge("bad", t("now.store.away", store)) : badge("good", t("now.store.good", store)),
			store.pending > 0 ? t("now.store.pending", { n: number(store.pending) }) : null),
		tile(t("now.dns"), status.resolver.away ? badge("bad", t("now.dns.away")) : badge("good", t("now.dns.good")), status.resolver.servers),
		tile(t("now.keys"), keys > 0 ? badge("bad", plural("now.keys.withheld", keys)) : badge("good", t("now.keys.good"))),
		tile(t("now.books"), books.problem ? badge("bad", t("now.books.bad", books)) : badge("good", t("now.books.good", books))),
		tile(t("now.mail"), "", t("count.accept") + t("colon") + number(status.accepted), t("count.held") + t("colon") + number(status.held),
			t("count.deferred") + t("colon") + number(status.deferred), t("count.rejected") + t("colon") + number(status.refused)));
}

const blockTable = (blocked) => blocked.length === 0 ? nothing(t("now.blocked.none")) : table(t("now.blocked"), [
	{ name: t("day.account"), value: (row) => row.account, show: (row) => h("a", { href: `#/account/${encodeURIComponent(row.account)}` }, row.account) },
	{ name: t("reason"), value: (row) => row.reason, show: (row) => row.by + (row.reason ? t("colon") + row.reason : "") },
	{ name: t("time"), value: (row) => row.since, show: (row) => time(row.since) },
], blocked, { column: 2, down: true });

function watched(counts) {
	const rows = Object.entries(counts ?? {}).map(([word, n]) => ({ word, n }));

	return rows.length === 0 ? nothing(t("now.watch.none")) : table(t("now.watch.caption"), [
		{ name: t("reason"), value: (row) => reason(row.word) },
		{ name: t("messages"), value: (row) => row.n, show: (row) => number(row.n), number: true },
	], rows, { column: 1, down: true });
}

export async function showNow({ body, signal }) {
	const state = section(t("now.state")), plots = section(t("now.rates")), range = h("div", {}), watch = section(t("now.watch"));
	const blocked = section(t("now.blocked")), events = section(t("now.events"));
	let good = null, period = "hour", age = 0;

	// plot - the plots of the period, and what mode watch let pass in it; quiet: only when it is here
	async function plot(quiet) {
		const ask = async () => {
			const wanted = period, found = await rates(wanted, signal);

			if (wanted !== period)
				return loading();
			watch.fill(watched(found.would));
			return h("div", {}, h("p", { class: "quiet" }, found.note), found.plots);
		};

		await load(quiet ? { fill: (child) => child.hasAttribute("aria-busy") || plots.fill(child) } : plots, ask);
	}

	async function look() {
		const status = await get("status", {}, signal);
		const now = status.listener.answers && !status.store.away && !status.resolver.away && status.withheld_keys === 0;

		state.fill(tiles(status));
		if (good !== null && good !== now)
			announce(`${t("now.state")}: ${state.element.textContent}`);
		good = now;
	}
	range.append(choose(t("now.range"), [["hour", t("now.hour")], ["day", t("now.day")], ["fortnight", t("now.fortnight")]], period, (value) => {
		period = value;
		plot();
	}));
	watch.fill(loading());
	plots.element.querySelector("h2").after(range);
	body.append(state.element, plots.element, watch.element, blocked.element, events.element, h("p", { class: "quiet" }, t("zone", { zone: zone() })));
	const timer = setInterval(() => document.hidden || load({ fill: (child) => child.hasAttribute?.("aria-busy") || state.fill(child) }, async () => {
		await look();
		// plots once a minute, and none while their table is open
		if (++age % 6 === 0 && period === "hour" && plots.element.querySelector("details[open]") === null)
			await plot(true);
		return state.element.querySelector(".tiles");
	}), EVERY_MS);
	signal.addEventListener("abort", () => clearInterval(timer));
	await Promise.all([
		load(state, async () => {
			await look();
			return state.element.querySelector(".tiles");
		}),
		plot(),
		load(blocked, async () => blockTable((await get("blocks", { limit: 1000 }, signal)).blocked)),
		load(events, async () => {
			const list = (await get("events", { limit: 10 }, signal)).events;

			return list.length === 0 ? nothing(t("events.none")) : eventTable(plural("events.caption", list.length), list);
		}),
	]);
}
