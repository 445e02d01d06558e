// page-domains.js - keys against DNS, SPF, DMARC, and what each domain signs

import { get } from "./ask.js";
import { h } from "./dom.js";
import { load, nothing, section, table, badge } from "./parts.js";
import { number, t } from "./text.js";

const KINDS = { error: "bad", warning: "warn", unknown: "unknown", ok: "good" };

export async function showDomains({ body, signal }) {
	const list = section(t("domains.title"));

	list.element.querySelector("h2").className = "unseen";
	body.append(list.element);
	await load(list, async () => {
		const [doctor, report] = await Promise.all([get("doctor", {}, signal), get("report", { limit: 1000 }, signal)]);
		const rows = new Map();
		const row = (name) => rows.get(name) ?? rows.set(name, { name, messages: 0, findings: [] }).get(name);

		for (const line of report.domains)
			if (line.name !== "-" && line.name !== "*")
				row(line.name).messages = line.messages;
		for (const finding of doctor.findings)
			if (/^(dkim|spf|dmarc)\./.test(finding.id) && finding.where !== "")
				row(finding.where.split(" ")[0].replace(/^.*\//, "")).findings.push(finding);
		const about = (kind) => (one) => {
			const found = one.findings.filter((finding) => finding.id.startsWith(`${kind}.`) && finding.level !== "ok");

			if (doctor.at === 0)
				return badge("unknown", t("domains.unlooked"));
			return found.length === 0 ? badge("good", t("domains.good")) : h("span", {}, found.map((finding) => h("span", { class: "finding" }, badge(KINDS[finding.level], finding.id), " ", finding.what)));
		};
		const worst = (kind) => (one) => one.findings.filter((finding) => finding.id.startsWith(`${kind}.`) && finding.level !== "ok").length;

		return rows.size === 0 ? nothing(t("domains.none")) : table(t("domains.caption"), [
			{ name: t("domains.domain"), value: (one) => one.name },
			{ name: t("domains.dkim"), value: worst("dkim"), show: about("dkim") },
			{ name: t("domains.spf"), value: worst("spf"), show: about("spf") },
			{ name: t("domains.dmarc"), value: worst("dmarc"), show: about("dmarc") },
			{ name: t("domains.mail"), value: (one) => one.messages, show: (one) => number(one.messages), number: true },
		], [...rows.values()], { column: 0, down: false });
	});
}
