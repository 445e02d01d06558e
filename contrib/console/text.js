// text.js - the language, and times, numbers and sizes as its readers write them

import { texts as en } from "./texts-en.js";
import { texts as fr } from "./texts-fr.js";

const LANGUAGES = { en, fr };
const KEPT = "countersign-language";

function preferred() {
	const kept = localStorage.getItem(KEPT);

	if (kept in LANGUAGES)
		return kept;
	return navigator.languages.map((language) => language.slice(0, 2)).find((language) => language in LANGUAGES) ?? "en";
}

export let language = preferred();
document.documentElement.lang = language;

export const languages = Object.keys(LANGUAGES);

export function setLanguage(wanted) {
	language = wanted;
	localStorage.setItem(KEPT, wanted);
	document.documentElement.lang = wanted;
}

// has - is there such a text?
export function has(key) {
	return key in LANGUAGES[language];
}

// t - a text, with values in its braces
export function t(key, values = {}) {
	const text = LANGUAGES[language][key] ?? en[key] ?? key;

	return text.replace(/\{(\w+)\}/g, (all, name) => name in values ? values[name] : all);
}

// plural - "{n} message" or "{n} messages": keys KEY.one and KEY.other
export function plural(key, n, values = {}) {
	return t(`${key}.${new Intl.PluralRules(language).select(n) === "one" ? "one" : "other"}`, { n: number(n), ...values });
}

export function number(n) {
	return new Intl.NumberFormat(language, { maximumFractionDigits: 1 }).format(n);
}

export function percent(part) {
	return new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: part < 0.1 ? 1 : 0 }).format(part);
}

export function bytes(n) {
	const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
	let i = 0;

	for (; n >= 1000 && i < units.length - 1; i++)
		n /= 1000;
	return new Intl.NumberFormat(language, { style: "unit", unit: units[i], unitDisplay: n < 1000 && i === 0 ? "long" : "short", maximumFractionDigits: n < 10 ? 1 : 0 }).format(n);
}

// time - in the zone of the reader
export function time(ms) {
	return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" }).format(ms);
}

export function hour(ms) {
	return new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" }).format(ms);
}

export function date(ms) {
	return new Intl.DateTimeFormat(language, { day: "numeric", month: "short" }).format(ms);
}

export function moment(ms) {
	return new Intl.DateTimeFormat(language, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }).format(ms);
}

// round, midnight - is it a whole number of minutes of the hour, or does a day begin, for the reader?
export const round = (ms, minutes) => new Date(ms).getMinutes() % minutes === 0;
export const midnight = (ms) => new Date(ms).getDate() !== new Date(ms - 3600000).getDate();

export function zone() {
	return new Intl.DateTimeFormat(language, { timeZoneName: "long" }).formatToParts().find((part) => part.type === "timeZoneName").value;
}

// span - how long, in one unit
export function span(ms) {
	const units = [["day", 86400000], ["hour", 3600000], ["minute", 60000], ["second", 1000]];
	const [unit, size] = units.find(([, size]) => ms >= size) ?? ["second", 1000];
	const n = Math.max(1, Math.round(ms / size));

	return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" }).format(n);
}
