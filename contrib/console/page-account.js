// page-account.js - one account: limits, plots, decisions, and what an operator can do

import { account as path, change, get } from "./ask.js";
import { announce, h, s } from "./dom.js";
import { ask, badge, choice, choose, field, load, nothing, outcome, reason, section } from "./parts.js";
import { bytes, number, percent, plural, span, t, time, zone } from "./text.js";
import { hourPlots } from "./figures.js";

const day = (ms) => new Date(ms).toISOString().slice(0, 10);

// --- the search

async function matches(text, session, signal) {
	const now = Date.now(), found = [];

	for (const domain of session.domains.length > 0 ? session.domains : [undefined]) {
		const answer = await get("report", { from: day(now - 13 * 86400000), to: day(now), match: text, domain, limit: 20 }, signal);

		found.push(...answer.accounts.map((line) => line.name).filter((name) => name !== "*"));
	}
	return found;
}

async function busiest(session, signal) {
	const found = [];

	for (const domain of session.domains.length > 0 ? session.domains : [undefined])
		found.push(...(await get("accounts", { domain, limit: 10 }, signal)).accounts.map((line) => line.account));
	return found;
}

const link = (name) => h("a", { href: `#/account/${encodeURIComponent(name)}` }, name);

function search(session, signal) {
	const input = h("input", { type: "search", spellcheck: "false", autocapitalize: "none", autocomplete: "off" });
	const list = h("ul", { class: "results" });
	const told = h("p", { class: "quiet" });
	let waiting = 0, running = new AbortController();

	async function look() {
		const text = input.value.trim();

		running.abort();
		running = new AbortController();
		signal.addEventListener("abort", () => running.abort());
		try {
			const found = text === "" ? await busiest(session, running.signal) : await matches(text, session, running.signal);

			list.replaceChildren(...found.map((name) => h("li", {}, link(name))));
			told.textContent = text === "" ? t("account.recent") : found.length === 0 ? t("account.found.none") : plural("account.found", found.length);
			if (text !== "")
				announce(told.textContent);
		} catch (error) {
			if (error.name !== "AbortError")
				throw error;
		}
	}
	input.addEventListener("input", () => {
		clearTimeout(waiting);
		waiting = setTimeout(look, 250);
	});
	look();
	return h("form", { role: "search", submit: (event) => {
		event.preventDefault();
		if (input.value.trim() !== "")
			location.hash = `#/account/${encodeURIComponent(input.value.trim())}`;
	} }, h("div", { class: "bar-of-fields" }, field(t("account.search"), input, t("account.hint")),
		h("p", { class: "beside" }, h("button", { type: "submit" }, t("account.open")))), told, list);
}

// --- limits

function limitBar(limit) {
	const part = limit.max === 0 ? 1 : limit.used / limit.max, full = limit.wait_ms > 0 || limit.used >= limit.max;
	const name = limit.of === "" ? limit.limit : t("account.limit.of", { limit: limit.limit, of: limit.of });
	const amount = /\b([KMGT]i?B|bytes)\b/.test(limit.limit) ? bytes : number;
	const used = t("account.used", { used: amount(limit.used), max: amount(limit.max), percent: percent(part) });
	const room = limit.used === 0 ? t("account.free") : full && limit.wait_ms > 0 ? t("account.full", { span: span(limit.wait_ms) }) :
		limit.next_ms > 0 ? t("account.room", { span: span(limit.next_ms) }) : "";

	return h("div", { class: "limit" }, h("p", {}, h("b", {}, name), " ", limit.raised_ms > 0 ? h("span", { class: "quiet" }, `(${t("account.raised", { span: span(limit.raised_ms) })})`) : null),
		s("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "meter", "aria-label": name, "aria-valuemin": 0, "aria-valuemax": 100,
			"aria-valuenow": Math.min(100, Math.round(part * 100)), "aria-valuetext": used + t("semicolon") + room },
		s("rect", { class: `fill ${part >= 1 ? "bad" : part >= 0.8 ? "warn" : ""}`, width: Math.min(100, part * 100), height: 10 })),
		h("p", { class: "quiet" }, used + t("semicolon") + room));
}

// --- decisions

function decision(verdict, several) {
	const why = verdict.reason ? reason(verdict.reason) : null;
	const watched = verdict.would !== undefined && verdict.would !== verdict.action;

	return h("li", {},
		h("p", {}, outcome(verdict.action), why && !watched ? t("colon") + why : "", verdict.address ? h("span", {}, " (", h("code", {}, verdict.address), ")") : null),
		watched ? h("p", { class: "note warn" }, t("account.watch", { would: t(`action.${verdict.would}`) + (why ? t("colon") + why : "") })) : null,
		h("p", { class: "quiet" }, h("time", { datetime: new Date(verdict.at).toISOString() }, time(verdict.at)), " \u00b7 ", verdict.from, " ",
			verdict.recipients > 0 ? plural("account.to", verdict.recipients) : "", " \u00b7 ", t("account.client", { client: verdict.client }), " \u00b7 ", verdict.queue_id,
			several ? ` \u00b7 ${t("filter")}: ${verdict.filter}` : ""),
		verdict.reply ? h("p", {}, `${t("account.reply")} `, h("code", {}, verdict.reply)) : null,
		verdict.advice ? h("details", {}, h("summary", {}, t("account.advice")), h("p", { lang: "en" }, verdict.advice), verdict.next ? h("pre", {}, verdict.next) : null) : null);
}

function decisions(verdicts) {
	const hosts = [...new Set(verdicts.map((verdict) => verdict.filter))].sort();
	const list = h("ul", { class: "lines" });
	const paint = (host) => list.replaceChildren(...verdicts.filter((verdict) => host === "" || verdict.filter === host)
		.map((verdict) => decision(verdict, hosts.length > 1)));

	paint("");
	return h("div", {}, hosts.length > 1 ? choose(t("filter"), [["", t("all")], ...hosts.map((host) => [host, host])], "", paint) : null, list);
}

// --- changes

const times = () => [[3600, 3600], [14400, 14400], [86400, 86400], [604800, 604800]].map(([value, seconds]) => [String(value), span(seconds * 1000)]);

function actions(name, limits, session, done) {
	const act = (word, dangerous, inputs, how) => h("button", { type: "button", class: dangerous ? "danger" : null, click: async () => {
		let made = false;
		const why = h("input", { type: "text", maxlength: 200 });

		await ask(t(`act.${word}.title`, { account: name }), t(`act.${word}.text`), [inputs?.parts(), field(t("act.reason"), why)], t(`act.${word}`), async () => {
			await how(why.value.trim() === "" ? undefined : why.value.trim());
			made = true;
		}, dangerous);
		if (made) {
			announce(t(`act.done.${word}`, { account: name }));
			await done();
		}
	} }, t(`act.${word}`));
	const forTime = (ever) => {
		let control;

		return { parts: () => {
			control = choice([...(ever ? [["", t("act.ever")]] : []), ...times()], ever ? "" : "86400");
			return [field(t("act.for"), control)];
		}, seconds: () => control.value === "" ? undefined : Number(control.value) };
	};
	const blockFor = forTime(true), raiseFor = forTime(false);
	let limit;
	const raise = { parts: () => {
		limit = h("input", { type: "text", required: true, value: limits.limits[0]?.limit ?? "", spellcheck: "false", lang: "en" });
		return [field(t("act.raise.limit"), limit, t("act.raise.hint")), raiseFor.parts()];
	} };

	if (session.role === "read")
		return h("p", { class: "quiet" }, t("act.readonly"));
	return h("div", { class: "buttons", role: "group", "aria-label": t("account.actions") },
		limits.blocked ? act("unblock", false, null, (why) => change("DELETE", path(name, "block"), { reason: why })) :
			act("block", true, blockFor, (why) => change("PUT", path(name, "block"), { for_seconds: blockFor.seconds(), reason: why })),
		limits.limits.length > 0 ? act("raise", false, raise, (why) => change("PUT", path(name, "limits"), { limit: limit.value, for_seconds: raiseFor.seconds(), reason: why })) : null,
		limits.limits.some((one) => one.raised_ms > 0) ? act("unset", false, null, (why) => change("DELETE", path(name, "limits"), { reason: why })) : null,
		limits.limits.length > 0 ? act("reset", false, null, (why) => change("POST", path(name, "reset"), { reason: why })) : null);
}

function state(limits) {
	const block = limits.blocked;

	return h("div", {},
		h("p", {}, limits.plan ? t("account.plan", { plan: limits.plan, from: limits.plan_from }) : t("account.noplan")),
		block ? h("p", { class: "note bad" }, badge("bad", t("account.blocked", { since: time(block.since), by: block.by })), " ",
			block.until > 0 ? t("account.blocked.until", { until: time(block.until) }) : t("account.blocked.ever"),
			block.reason ? h("span", {}, t("colon") + block.reason) : null) : h("p", {}, badge("good", t("account.notblocked"))),
		limits.note ? h("p", { class: "note warn", lang: "en" }, limits.note) : null);
}

async function one({ body, title, session, signal }, name) {
	const head = section(t("account.limits")), sent = section(t("account.sent")), last = section(t("account.last"));

	title.textContent = name;
	document.title = `${name} - countersign`;
	body.append(head.element, sent.element, last.element, h("p", { class: "quiet" }, t("zone", { zone: zone() })));
	const refresh = () => Promise.all([
		load(head, async () => {
			const limits = await get(path(name, "limits"), {}, signal);

			title.textContent = limits.account ?? name;
			return [state(limits), actions(name, limits, session, async () => {
				await refresh();
				(head.element.querySelector(".buttons button") ?? title).focus();
			}), limits.limits.length === 0 ? nothing(t("account.limits.none")) : limits.limits.map(limitBar)];
		}),
		load(sent, async () => hourPlots(await get(path(name, "hours"), { days: 14 }, signal))),
		load(last, async () => {
			const { verdicts } = await get(path(name, "history"), { limit: 50 }, signal);

			return verdicts.length === 0 ? nothing(t("account.last.none")) : decisions(verdicts);
		}),
	]);
	await refresh();
}

export async function showAccount(page) {
	if (page.rest.length > 0 && page.rest[0] !== "") {
		await one(page, page.rest[0]);
		return;
	}
	page.body.append(search(page.session, page.signal));
}
