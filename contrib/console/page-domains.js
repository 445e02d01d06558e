// page-domains.js - keys against DNS, SPF, DMARC, and what each domain signs

import { get } from "./ask.js";
import { h } from "./dom.js";
import { load, nothing, section, table, badge } from "./parts.js";
import { number, t } from "./text.js";

const KINDS = { error: "bad", warning: "warn", unknown: "unknown", ok: "good" };

// domainOf - "s1._domainkey.example.org", "_dmarc.example.org", "example.org from 192.0.2.1"
const domainOf = (where) => where.split(" ")[0].replace(/^(.*\._domainkey\.|_dmarc\.)/, "");

export async function showDomains({ body, signal }) {
	const list = section(t("domains.title"));

	list.element.querySelector("h2").className = "unseen";
	body.append(list.element);
	await load(list, async () => {
		const [doctor, keys, report] = await Promise.all([get("doctor", {}, signal), get("domains", { limit: 1000 }, signal), get("report", { limit: 1000 }, signal)]);
		const rows = new Map();
		const row = (name) => rows.get(name) ?? rows.set(name, { name, messages: 0, signed: 0, selectors: [], findings: [] }).get(name);

		for (const line of report.domains)
			if (line.name !== "-" && line.name !== "*")
				row(line.name).messages = line.messages;
		for (const line of report.signing ?? [])
			if (line.domain !== "*")
				row(line.domain).signed = line.messages;
		for (const key of keys.keys)
			row(key.domain).selectors.push(key.selector);
		for (const finding of doctor.findings)
			if (/^(dkim|spf|dmarc)\./.test(finding.id) && finding.where !== "")
				row(domainOf(finding.where)).findings.push(finding);
		const about = (kind) => (one) => {
			const found = one.findings.filter((finding) => finding.id.startsWith(`${kind}.`) && finding.level !== "ok");

			if (kind === "dkim" && one.selectors.length === 0 && found.length === 0)
				return badge("warn", t("domains.nokey"));
			if (doctor.at === 0)
				return badge("unknown", t("domains.unlooked"));
			return found.length === 0 ? badge("good", t("domains.good")) : h("span", {}, found.map((finding) => h("span", { class: "finding" }, badge(KINDS[finding.level], finding.id), " ", finding.what)));
		};
		const worst = (kind) => (one) => one.findings.filter((finding) => finding.id.startsWith(`${kind}.`) && finding.level !== "ok").length;

		return rows.size === 0 ? nothing(t("domains.none")) : table(t("domains.caption"), [
			{ name: t("domains.domain"), value: (one) => one.name },
			{ name: t("domains.key"), value: (one) => one.selectors.join(", ") },
			{ name: t("domains.dkim"), value: worst("dkim"), show: about("dkim") },
			{ name: t("domains.spf"), value: worst("spf"), show: about("spf") },
			{ name: t("domains.dmarc"), value: worst("dmarc"), show: about("dmarc") },
			{ name: t("domains.mail"), value: (one) => one.messages, show: (one) => number(one.messages), number: true },
			{ name: t("domains.signed"), value: (one) => one.signed, show: (one) => number(one.signed), number: true },
		], [...rows.values()], { column: 0, down: false });
	});
}
