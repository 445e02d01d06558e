// page-now.js - how it goes now

import { get } from "./ask.js";
import { announce, h } from "./dom.js";
import { badge, choice, choose, field, load, loading, nothing, reason, section, table } from "./parts.js";
import { number, plural, span, t, time, zone } from "./text.js";
import { PERIODS, ratePlots } from "./figures.js";
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
	const hosts = h("div", { class: "bar-of-fields" });
	let good = null, period = "hour", host = "", latest = null, age = 0;

	// paint - the plots of the latest answer, and what mode watch let pass
	function paint() {
		const found = ratePlots(latest, period, host);

		watch.fill(watched(found.would));
		return h("div", {}, found.plots);
	}

	// offer - the choice of a host, if there is one
	function offer(answer) {
		if (!answer.hosts.includes(host))
			host = "";
		const select = choice([["", t("all")], ...answer.hosts.map((name) => [name, name === "*" ? t("now.hosts.others") : name])], host);

		select.addEventListener("change", () => {
			host = select.value;
			plots.fill(paint());
		});
		// one that has the focus stays as long as it is good
		if (answer.hosts.join() !== latest?.hosts.join() || !hosts.contains(document.activeElement))
			hosts.replaceChildren(...(answer.hosts.length > 1 ? [field(t("filter"), select)] : []));
		latest = answer;
	}

	// plot - the plots of the period; quiet: only when it is here
	async function plot(quiet) {
		const wanted = period;
		const into = { fill: (child) => wanted !== period || (quiet && child.hasAttribute?.("aria-busy")) || plots.fill(child) };

		await load(into, async () => {
			const answer = await get("rates", { hours: PERIODS[wanted].hours }, signal);

			if (wanted !== period)
				return loading();
			offer(answer);
			return paint();
		});
		if (wanted === period && watch.element.querySelector("[aria-busy]") !== null)
			watch.fill(nothing());
	}

	async function look() {
		const status = await get("status", {}, signal);
		const now = status.listener.answers && !status.store.away && !status.resolver.away && status.withheld_keys === 0;

		state.fill(tiles(status));
		if (good !== null && good !== now)
			announce(`${t("now.state")}: ${state.element.textContent}`);
		good = now;
	}
	range.append(choose(t("now.range"), [["hour", t("now.hour")], ["day", t("now.day")], ["fortnight", t("now.fortnight")]], period, async (value) => {
		period = value;
		await plot();
		if (value === period)
			announce(plots.element.querySelector("figcaption")?.textContent ?? t("now.none"));
	}));
	watch.fill(loading());
	plots.element.querySelector("h2").after(range, hosts);
	body.append(state.element, plots.element, watch.element, blocked.element, events.element, h("p", { class: "quiet" }, t("zone", { zone: zone() })));
	const timer = setInterval(() => document.hidden || load({ fill: (child) => child.hasAttribute?.("aria-busy") || state.fill(child) }, async () => {
		await look();
		// plots once a minute, those of two weeks once in ten; and none while their table is open
		if (++age % (period === "fortnight" ? 60 : 6) === 0 && plots.element.querySelector("details[open]") === null)
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
