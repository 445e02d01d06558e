// figures.js - what was counted, as points of a plot

import { get } from "./ask.js";
import { chart } from "./chart.js";
import { date, t } from "./text.js";
import { sum } from "./page-day.js";

const DAY = 86400000;
const dayText = (ms) => new Date(ms).toISOString().slice(0, 10);

const OUTCOMES = () => [
	{ name: t("count.accept"), kind: "accept", always: true },
	{ name: t("count.refused"), kind: "refused", always: true },
];

// days - one report for each of the last 14 days
async function days(values, signal) {
	const now = Date.now(), reports = [];

	for (let i = 13; i >= 0; i--) {
		const day = dayText(now - i * DAY);

		reports.push({ at: Date.parse(day), report: await get("report", { day, limit: 1, ...values }, signal) });
	}
	return reports;
}

const onDay = (ms) => date(ms, "UTC");

export async function sentByHour(name, signal) {
	const at = name.lastIndexOf("@"), domain = at > 0 ? name.slice(at + 1) : undefined;
	const points = (await days({ match: name, domain }, signal)).map(({ at, report }) => {
		const line = report.accounts.find((row) => row.name === name);

		return { at, values: [line?.messages ?? 0, sum(line?.refused)] };
	});

	return chart(t("account.days"), points, OUTCOMES(), onDay, onDay);
}

export async function rates(signal) {
	const reports = await days({}, signal);

	return chart(t("now.by-action"), reports.map(({ at, report }) => ({ at, values: [report.total.messages, sum(report.total.refused)] })), OUTCOMES(), onDay, onDay);
}
