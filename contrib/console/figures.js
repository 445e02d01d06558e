// figures.js - what was counted, as points of a plot

import { get } from "./ask.js";
import { chart } from "./chart.js";
import { h } from "./dom.js";
import { nothing, reason } from "./parts.js";
import { date, hour, moment, number, t, time } from "./text.js";
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

const HOUR = 3600000, HOURS = 14 * 24;

// sentByHour - as far back as decisions of the account are kept and handed out
export function sentByHour(verdicts) {
	const last = Math.floor(Date.now() / HOUR) * HOUR, points = Array.from({ length: HOURS }, (_, i) => ({ at: last - (HOURS - 1 - i) * HOUR, values: [0, 0] }));

	for (const verdict of verdicts) {
		const point = points[HOURS - 1 - Math.round((last - Math.floor(verdict.at / HOUR) * HOUR) / HOUR)];

		if (point)
			point.values[["accept", "warn", "quarantine"].includes(verdict.action) ? 0 : 1]++;
	}
	return [chart(t("account.hours"), points, OUTCOMES(), moment, date),
		h("p", { class: "quiet" }, t("account.hours.note", { n: number(verdicts.length), since: time(verdicts.at(-1).at) }))];
}

export async function sentByDay(name, signal) {
	const at = name.lastIndexOf("@"), domain = at > 0 ? name.slice(at + 1) : undefined;
	const points = (await days({ match: name, domain }, signal)).map(({ at, report }) => {
		const line = report.accounts.find((row) => row.name === name);

		return { at, values: [line?.messages ?? 0, sum(line?.refused)] };
	});

	return chart(t("account.days"), points, OUTCOMES(), onDay, onDay);
}

const ACTIONS = () => [
	{ name: t("count.accept"), kind: "accept", always: true, of: ["accept", "warn"] },
	{ name: t("count.held"), kind: "held", of: ["quarantine"] },
	{ name: t("count.deferred"), kind: "deferred", of: ["tempfail"] },
	{ name: t("count.rejected"), kind: "refused", always: true, of: ["reject"] },
];

const REASONS_SHOWN = 5;

// byReason - the most frequent reasons, and all others together
function byReason(title, points, when, tick) {
	const sums = new Map();

	for (const point of points)
		for (const [word, n] of Object.entries(point.reasons))
			sums.set(word, (sums.get(word) ?? 0) + n);
	const words = [...sums.keys()].sort((a, b) => sums.get(b) - sums.get(a)), first = words.slice(0, REASONS_SHOWN), rest = words.slice(REASONS_SHOWN);
	const series = first.map((word, i) => ({ name: reason(word), kind: `other${i + 1}` }));

	if (words.length === 0)
		return nothing(t("now.by-reason.none"));
	if (rest.length > 0)
		series.push({ name: t("now.other"), kind: "other6" });
	return chart(title, points.map((point) => ({ at: point.at, values: [...first.map((word) => point.reasons[word] ?? 0),
		...(rest.length > 0 ? [rest.reduce((n, word) => n + (point.reasons[word] ?? 0), 0)] : [])] })), series, when, tick);
}

const together = (points) => points.reduce((all, counts) => {
	for (const [word, n] of Object.entries(counts ?? {}))
		all[word] = (all[word] ?? 0) + n;
	return all;
}, {});

async function shortRates(hours, signal) {
	const answer = await get("rates", { hours }, signal), step = answer.step_s * 1000, n = hours === 1 ? 60 : 144;
	const last = Math.floor(answer.now / step) * step, found = new Map(answer.places.map((place) => [place.at, place]));
	const points = Array.from({ length: n }, (_, i) => {
		const at = last - (n - 1 - i) * step, place = found.get(at);

		return { at, reasons: place?.reasons ?? {}, values: ACTIONS().map((one) => one.of.reduce((sum, action) => sum + (place?.actions[action] ?? 0), 0)) };
	});

	return { note: t("now.rates.one", { filter: answer.filter }), would: together(answer.places.map((place) => place.would)),
		plots: [chart(t("now.by-action"), points, ACTIONS(), moment, hour), byReason(t("now.by-reason"), points, moment, hour)] };
}

// rates - of a period: plots, what mode watch would have refused, and whose figures these are
export async function rates(period, signal) {
	if (period !== "fortnight")
		return shortRates(period === "hour" ? 1 : 24, signal);
	const reports = await days({}, signal);
	const points = reports.map(({ at, report }) => ({ at, reasons: report.total.refused ?? {}, values: [report.total.messages, sum(report.total.refused)] }));

	return { note: t("now.rates.all"), would: together(reports.map(({ report }) => report.total.would_be_refused)),
		plots: [chart(t("now.by-action"), points, OUTCOMES(), onDay, onDay), byReason(t("now.by-reason"), points, onDay, onDay)] };
}
