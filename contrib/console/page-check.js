// page-check.js - what the doctor found, and what would become of a message

import { change, get } from "./ask.js";
import { announce, h } from "./dom.js";
import { badge, field, load, outcome, problem, reason, section, table } from "./parts.js";
import { has, number, t, time } from "./text.js";

const KINDS = { error: "bad", warning: "warn", unknown: "unknown", ok: "good" };

export function findingList(findings) {
	return h("ul", { class: "lines" }, findings.map((finding) => h("li", {},
		h("p", {}, badge(KINDS[finding.level] ?? "unknown", has(`level.${finding.level}`) ? t(`level.${finding.level}`) : finding.level), " ", h("code", {}, finding.id), " ", finding.where),
		h("p", {}, finding.what),
		finding.cure !== "" ? h("p", {}, `${t("check.cure")} `, h("code", {}, finding.cure)) : null)));
}

// again - ask for new findings, and wait for them
async function again(before, signal) {
	await change("POST", "doctor");
	for (let i = 0; i < 30 && !signal.aborted; i++) {
		const answer = await get("doctor", {}, signal);

		if (answer.at !== before)
			return answer;
		await new Promise((done) => setTimeout(done, 500));
	}
	return get("doctor", {}, signal);
}

function showFindings(list, session, signal) {
	let answer = null;

	const paint = () => h("div", {},
		h("p", { class: "quiet" }, answer.at > 0 ? t("check.at", { time: time(answer.at) }) : t("check.never"), " ", t("check.scope")),
		session.role !== "read" ? h("p", { class: "buttons" }, h("button", { type: "button", click: async () => {
			announce(t("check.asked"));
			await load(list, async () => {
				answer = await again(answer.at, signal);
				return paint();
			});
			list.element.querySelector("button")?.focus();
		} }, t("check.again"))) : null,
		answer.at > 0 && answer.findings.every((finding) => finding.level === "ok") ? h("p", {}, badge("good", t("check.good"))) : null,
		findingList(answer.findings));

	return load(list, async () => {
		answer = await get("doctor", {}, signal);
		return paint();
	});
}

function verdict(answer) {
	return h("div", {},
		h("p", { class: "note" }, outcome(answer.verdict), answer.reason ? t("colon") + reason(answer.reason) : ""),
		answer.reply ? h("p", {}, `${t("account.reply")} `, h("code", {}, answer.reply)) : null,
		answer.account ? h("p", {}, t("try.account", { account: answer.account, from: answer.account_from })) : null,
		answer.other_mode ? h("p", {}, t("try.other", { mode: answer.other_mode.mode, action: t(`action.${answer.other_mode.verdict}`) })) : null,
		answer.signing?.outcome === "pass" ? h("p", {}, t("try.signed", answer.signing)) : null,
		answer.claims?.length > 0 ? table(t("try.claims"), [
			{ name: t("try.place"), value: (claim) => claim.place },
			{ name: t("try.address"), value: (claim) => claim.address ?? "" },
			{ name: t("try.owned"), value: (claim) => claim.owned },
		], answer.claims) : null,
		answer.limits?.length > 0 ? table(t("try.limits"), [
			{ name: t("try.limit"), value: (limit) => limit.limit },
			{ name: t("try.before"), value: (limit) => limit.before, show: (limit) => number(limit.before), number: true },
			{ name: t("try.cost"), value: (limit) => limit.cost, show: (limit) => number(limit.cost), number: true },
			{ name: t("try.max"), value: (limit) => limit.max, show: (limit) => number(limit.max), number: true },
		], answer.limits) : null,
		answer.log ? h("details", {}, h("summary", {}, t("try.log")), h("pre", {}, answer.log)) : null);
}

function trial(session) {
	const input = (more) => h("input", { type: "text", spellcheck: "false", autocapitalize: "none", ...more });
	const listener = input(), login = input(), client = input(), from = input({ required: true }), rcpt = input({ required: true });
	const message = h("textarea", { required: true, spellcheck: "false" });
	const went = h("div", { "aria-live": "polite" });
	const go = h("button", { type: "submit", class: "primary" }, t("try.button"));
	const given = (control) => control.value.trim() === "" ? undefined : control.value.trim();

	if (session.role !== "admin")
		return h("p", { class: "quiet" }, t("try.admin"));
	return h("form", { submit: async (event) => {
		event.preventDefault();
		go.disabled = true;
		try {
			went.replaceChildren(verdict(await change("POST", "try", { listener: given(listener), login: given(login), client: given(client),
				from: given(from), rcpt: rcpt.value.split(/[\s,]+/).filter(Boolean), message: message.value.replace(/\r?\n/g, "\r\n") })));
		} catch (error) {
			went.replaceChildren(problem(error));
		}
		go.disabled = false;
	} }, h("p", {}, t("try.text")),
	h("div", { class: "bar-of-fields" }, field(t("try.login"), login), field(t("try.from"), from), field(t("try.rcpt"), rcpt, t("try.rcpt.hint")),
		field(t("try.client"), client), field(t("try.listener"), listener, t("try.listener.hint"))),
	field(t("try.message"), message), h("p", { class: "buttons" }, go), went);
}

export async function showCheck({ body, session, signal }) {
	const findings = section(t("check.findings")), tried = section(t("try.title"), trial(session));

	body.append(findings.element, tried.element);
	await showFindings(findings, session, signal);
}
