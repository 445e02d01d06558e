// figures.js - what was counted, as points of a plot

import { chart } from "./chart.js";
import { h } from "./dom.js";
import { nothing, reason } from "./parts.js";
import { date, hour, midnight, moment, number, plural, round, t } from "./text.js";

const HOUR = 3600000, FORTNIGHT = 14 * 24;

// The periods of the page Now: hours, and where the axis has a mark.
export const PERIODS = {
	hour: { hours: 1, marked: (at) => round(at, 10), mark: hour },
	day: { hours: 24, marked: (at) => round(at, 60), mark: hour },
	fortnight: { hours: FORTNIGHT, marked: midnight, mark: date },
};

// places - the time of each of the last n bars of step ms; the one of now is the last
function places(now, step, n) {
	const last = Math.floor(now / step) * step;

	return Array.from({ length: n }, (_, i) => last - (n - 1 - i) * step);
}

// together - the sum of some counts by word
function together(counts) {
	const all = {};

	for (const [word, n] of counts.flatMap((one) => Object.entries(one ?? {})))
		all[word] = (all[word] ?? 0) + n;
	return all;
}

// --- the site

const ACTIONS = () => [
	{ name: t("count.accept"), kind: "accept", always: true, of: ["accept", "warn"] },
	{ name: t("count.held"), kind: "held", of: ["quarantine"] },
	{ name: t("count.deferred"), kind: "deferred", of: ["tempfail"] },
	{ name: t("count.rejected"), kind: "refused", always: true, of: ["reject"] },
];

const REASONS_SHOWN = 5;

// byReason - the most frequent reasons, and all others together
function byReason(points, axis) {
	const sums = together(points.map((point) => point.reasons));
	const words = Object.keys(sums).sort((a, b) => sums[b] - sums[a]), first = words.slice(0, REASONS_SHOWN), rest = words.slice(REASONS_SHOWN);
	const series = first.map((word, i) => ({ name: reason(word), kind: `other${i + 1}` }));

	if (words.length === 0)
		return nothing(t("now.by-reason.none"));
	if (rest.length > 0)
		series.push({ name: t("now.other"), kind: "other6" });
	return chart(t("now.by-reason"), points.map((point) => ({ at: point.at, values: [...first.map((word) => point.reasons[word] ?? 0),
		...(rest.length > 0 ? [rest.reduce((n, word) => n + (point.reasons[word] ?? 0), 0)] : [])] })), series, axis);
}

// ratePlots - of an answer of /rates: what there is to see of one host, or of all (""), and the counts of mode watch
export function ratePlots(answer, period, host) {
	const step = answer.step_s * 1000, axis = { when: moment, step, ...PERIODS[period] };
	const points = places(answer.now, step, PERIODS[period].hours * HOUR / step).map((at) => {
		const here = answer.places.filter((place) => place.at === at && (host === "" || place.host === host));
		const actions = together(here.map((place) => place.actions));

		return { at, reasons: together(here.map((place) => place.reasons)), would: together(here.map((place) => place.would)),
			n: here.length, values: ACTIONS().map((one) => one.of.reduce((sum, action) => sum + (actions[action] ?? 0), 0)) };
	});
	const note = answer.hosts.length > 1 && host === "" ? h("p", { class: "quiet" }, t("now.rates.all", { n: number(answer.hosts.length) })) : null;

	return { would: together(points.map((point) => point.would)), plots: points.every((point) => point.n === 0) ? [nothing(t("now.none"))] :
		[note, chart(t("now.by-action"), points, ACTIONS(), axis), byReason(points, axis)] };
}

// --- an account

const OUTCOMES = () => [
	{ name: t("count.accept"), kind: "accept", always: true },
	{ name: t("count.refused"), kind: "refused", always: true },
];

// byDay - sums of the days of the reader
function byDay(points) {
	const days = [];

	for (const point of points) {
		if (days.length === 0 || date(days.at(-1).at) !== date(point.at))
			days.push({ at: point.at, values: [0, 0] });
		point.values.forEach((value, i) => days.at(-1).values[i] += value);
	}
	return days;
}

// hourPlots - of an answer of /accounts/{account}/hours: by hour, and by day
export function hourPlots(answer) {
	const found = new Map(answer.hours.map((row) => [row.at, row]));
	const points = places(answer.now, HOUR, FORTNIGHT).map((at) => ({ at, values: [found.get(at)?.messages ?? 0, found.get(at)?.refused ?? 0] }));
	const sum = (name) => answer.hours.reduce((all, row) => all + row[name], 0);

	if (answer.hours.length === 0)
		return [nothing(t("account.sent.none"))];
	return [h("p", {}, t("account.sent.sum", { messages: plural("account.sent.messages", sum("messages")),
		recipients: plural("account.sent.recipients", sum("recipients")), refused: number(sum("refused")) })),
	chart(t("account.hours"), points, OUTCOMES(), { when: moment, step: HOUR, ...PERIODS.fortnight }),
	chart(t("account.days"), byDay(points), OUTCOMES(), { when: date, marked: () => true, mark: date })];
}
