/*
 * reply_texts.c - the sentences that clients read, in English, French, or the site's own words
 *
 * English sentences of reasons are in the table of reasons (reasons.c). A text in another language
 * may leave out an item whose value is English, such as %{problem}.
 *
 * Pure, no state; any thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdlib.h>
#include <string.h>
#include <uninorm.h>

#include "policy/base/mem.h"
#include "policy/verdict/reply_texts.h"

#define COUNT_OF(array)	(sizeof(array) / sizeof((array)[0]))

/* The pieces beside the reasons: the name in the configuration, and the text in English. */
static const struct {
	const char *name, *text;
} reply_pieces[REPLY_TEXTS - REASON_COUNT] = {
	[REPLY_OVER_SHARED - REASON_COUNT] = { "over_shared",
	    "this message would exceed a sending limit of %{party}%{retry}" },
	[REPLY_OVER_LEVEL - REASON_COUNT] = { "over_level",
	    "a limit of %{party} is exceeded (%{limit}, %{used} counted)%{retry}" },
	[REPLY_OVER_LEVEL_SHARED - REASON_COUNT] = { "over_level_shared",
	    "a limit of %{party} is exceeded%{retry}" },
	[REPLY_OVER_HELD - REASON_COUNT] = { "over_held",
	    "this message exceeds the sending limit of %{party} (%{limit}, %{used} used)" },
	[REPLY_NEVER_FITS_ZERO - REASON_COUNT] = { "never_fits_zero",
	    "sending is not allowed for %{party} (limit 0)" },
	[REPLY_BAD_LOGIN_UNKNOWN - REASON_COUNT] = { "bad_login_unknown",
	    "the server could not identify your login" },
	[REPLY_DISGUISED_OVERRIDE - REASON_COUNT] = { "disguised_override",
	    "the display name in the %{display} field contains a text-direction override "
	    "character" },
	[REPLY_LATER - REASON_COUNT] = { "later",
	    "; please try again later" },
	[REPLY_RETRY - REASON_COUNT] = { "retry",
	    "; try again in %{time}" },
	[REPLY_HELP - REASON_COUNT] = { "help",
	    "; see " },
	[REPLY_EXPLAINS - REASON_COUNT] = { "explains",
	    "; that domain explains: " },
	[REPLY_DMARC_POLICY - REASON_COUNT] = { "dmarc_policy",
	    ", whose policy is %{policy}" },
	[REPLY_WHO_LOGIN - REASON_COUNT] = { "who_login",
	    "login %{login}" },
	[REPLY_WHO_ACCOUNT - REASON_COUNT] = { "who_account",
	    "account %{account}" },
	[REPLY_YOUR_DOMAIN - REASON_COUNT] = { "your_domain",
	    "your domain" },
	[REPLY_YOUR_POOL - REASON_COUNT] = { "your_pool",
	    "your organization" },
	[REPLY_YOUR_NETWORK - REASON_COUNT] = { "your_network",
	    "your network" },
	[REPLY_SECOND - REASON_COUNT] = { "second",
	    "1 second" },
	[REPLY_SECONDS - REASON_COUNT] = { "seconds",
	    "%{n} seconds" },
	[REPLY_MINUTES - REASON_COUNT] = { "minutes",
	    "%{n} minutes" },
	[REPLY_HOURS - REASON_COUNT] = { "hours",
	    "%{n} hours" },
};

static const struct reply_texts english = { .name = "en" };

/* How the words of a limit read in French. */
static const char *const french_words[][2] = {
	{ "messages", "messages" }, { "message", "message" },
	{ "recipients", "destinataires" }, { "recipient", "destinataire" },
	{ "external-recipients", "destinataires externes" },
	{ "external-recipient", "destinataire externe" },
	{ "new-recipients", "nouveaux destinataires" },
	{ "new-recipient", "nouveau destinataire" },
	{ "client-addresses", "adresses de connexion" },
	{ "client-address", "adresse de connexion" },
	{ "foreign-senders", "expéditeurs usurpés" }, { "foreign-sender", "expéditeur usurpé" },
	{ "refused-recipients", "destinataires refusés" },
	{ "refused-recipient", "destinataire refusé" },
	{ "countries", "pays" }, { "country", "pays" },
	{ "networks", "réseaux" }, { "network", "réseau" },
	{ "failed-logins", "échecs de connexion" }, { "failed-login", "échec de connexion" },
	{ "duplicates", "copies" }, { "duplicate", "copie" },
	{ "bounces", "retours" }, { "bounce", "retour" },
	{ "bytes", "octets" }, { "byte", "octet" },
	{ "KB", "Ko" }, { "MB", "Mo" }, { "GB", "Go" }, { "TB", "To" }, { "PB", "Po" },
	{ "KiB", "Kio" }, { "MiB", "Mio" }, { "GiB", "Gio" }, { "TiB", "Tio" }, { "PiB", "Pio" },
	{ "per", "par" }, { "second", "seconde" }, { "seconds", "secondes" },
	{ "hour", "heure" }, { "hours", "heures" }, { "day", "jour" }, { "days", "jours" },
	{ "week", "semaine" }, { "weeks", "semaines" },
	{ NULL, NULL },
};

static const struct reply_texts french = {
	.name = "fr",
	.limit_words = french_words,
	.text = {
		[REASON_NO_LISTENER] =
		    "ce serveur n'est pas configuré pour accepter du courrier de votre connexion",
		[REASON_INBOUND_LOGIN] =
		    "ce serveur n'est pas configuré pour accepter du courrier authentifié de votre "
		    "connexion",
		[REASON_SHUTTING_DOWN] =
		    "le service redémarre",
		[REASON_NO_LOGIN] =
		    "authentification requise : connectez-vous avec votre identifiant avant "
		    "d'envoyer un message",
		[REASON_NO_ACCOUNT] =
		    "le client %{client} n'est pas autorisé à envoyer du courrier par ce serveur",
		[REASON_NO_TLS] =
		    "chiffrement requis : activez TLS (STARTTLS) dans votre logiciel de messagerie",
		[REASON_BAD_LOGIN] =
		    "votre identifiant ne permet pas d'envoyer du courrier",
		[REASON_MALFORMED_ENVELOPE] =
		    "l'adresse d'expéditeur d'enveloppe <%{address}> n'est pas valide",
		[REASON_FOREIGN_NETWORK] =
		    "le compte %{account} n'est pas autorisé à envoyer du courrier depuis "
		    "%{client}",
		[REASON_FOREIGN_ENVELOPE] =
		    "l'expéditeur d'enveloppe <%{address}> n'est pas autorisé pour %{who}",
		[REASON_NULL_SENDER] =
		    "l'expéditeur vide <> n'est pas autorisé pour %{who} ; utilisez l'une de vos "
		    "adresses",
		[REASON_RESTRICTED_RECIPIENT] =
		    "vous n'êtes pas autorisé à écrire à <%{address}>",
		[REASON_TOO_MANY_RECIPIENTS] =
		    "trop de destinataires : un message peut en avoir %{problem} au plus",
		[REASON_TOO_LARGE] =
		    "message trop volumineux : la limite est de %{problem} octets",
		[REASON_OVERSIZED_HEADER] =
		    "l'en-tête du message a trop de champs ou est trop volumineux",
		[REASON_NO_FROM] =
		    "le message n'a pas de champ From",
		[REASON_SEVERAL_FROM] =
		    "le message a plus d'un champ From",
		[REASON_MALFORMED_FROM] =
		    "le champ %{field} est mal formé ou ambigu",
		[REASON_FOREIGN_FROM] =
		    "l'adresse From <%{address}> n'est pas autorisée pour %{who}",
		[REASON_FOREIGN_DOMAIN] =
		    "l'adresse From <%{address}> n'est pas autorisée pour %{who}",
		[REASON_FOREIGN_SENDER] =
		    "l'adresse <%{address}> du champ %{problem} n'est pas autorisée pour %{who}",
		[REASON_FOREIGN_RESENT] =
		    "l'adresse <%{address}> du champ %{problem} n'est pas autorisée pour %{who}",
		[REASON_DISGUISED_FROM] =
		    "le nom affiché du champ %{display} imite l'adresse %{address}, qui n'est pas "
		    "autorisée pour %{who}",
		[REASON_FOREIGN_DISPLAY] =
		    "le nom affiché du champ %{display} contient l'adresse %{address}, qui n'est "
		    "pas autorisée pour %{who}",
		[REASON_LOOKUP_FAILURE] =
		    "une recherche nécessaire au traitement de ce message a échoué",
		[REASON_SPF_FAIL] =
		    "SPF : %{spf_client} n'est pas autorisé à envoyer du courrier pour "
		    "%{address}%{explanation}",
		[REASON_SPF_SOFTFAIL] =
		    "SPF : %{spf_client} n'est probablement pas autorisé à envoyer du courrier "
		    "pour %{address}",
		[REASON_SPF_NEUTRAL] =
		    "SPF : l'enregistrement de %{address} ne dit pas si %{spf_client} est autorisé",
		[REASON_SPF_NONE] =
		    "SPF : aucun enregistrement SPF pour %{address} ; ce serveur en exige un",
		[REASON_SPF_TEMPERROR] =
		    "SPF : l'enregistrement de %{address} ne peut pas être obtenu pour le moment",
		[REASON_SPF_PERMERROR] =
		    "SPF : l'enregistrement de %{address} n'est pas valide",
		[REASON_SPF_HELO_FAIL] =
		    "SPF : %{spf_client} n'est pas autorisé à utiliser le nom HELO "
		    "%{address}%{helo_explanation}",
		[REASON_SPF_HELO_SOFTFAIL] =
		    "SPF : %{spf_client} n'est probablement pas autorisé à utiliser le nom HELO "
		    "%{address}",
		[REASON_SPF_HELO_NEUTRAL] =
		    "SPF : l'enregistrement du nom HELO %{address} ne dit pas si %{spf_client} est "
		    "autorisé",
		[REASON_SPF_HELO_NONE] =
		    "SPF : aucun enregistrement SPF pour le nom HELO %{address} ; ce serveur en "
		    "exige un",
		[REASON_SPF_HELO_TEMPERROR] =
		    "SPF : l'enregistrement du nom HELO %{address} ne peut pas être obtenu pour le "
		    "moment",
		[REASON_SPF_HELO_PERMERROR] =
		    "SPF : l'enregistrement du nom HELO %{address} n'est pas valide",
		[REASON_DKIM_NONE] =
		    "DKIM : le message n'est pas signé ; ce serveur exige une signature",
		[REASON_DKIM_TEMPERROR] =
		    "DKIM : la signature de %{address} ne peut pas être vérifiée pour le moment",
		[REASON_DKIM_FAIL] =
		    "DKIM : la signature de %{address} a été refusée",
		[REASON_DKIM_PERMERROR] =
		    "DKIM : la signature de %{address} n'est pas valide",
		[REASON_DKIM_UNALIGNED] =
		    "DKIM : aucune signature valide du domaine de l'adresse From <%{address}>",
		[REASON_DMARC_FAIL] =
		    "DMARC : le message n'est pas authentifié comme courrier de "
		    "%{address}%{dmarc_policy}",
		[REASON_DMARC_QUARANTINE] =
		    "DMARC : le message n'est pas authentifié comme courrier de "
		    "%{address}%{dmarc_policy}",
		[REASON_DMARC_TEMPERROR] =
		    "DMARC : la politique de %{address} ne peut pas être déterminée pour le moment",
		[REASON_OWN_DOMAIN] =
		    "le message prétend venir de %{address}, domaine hébergé ici, et n'est pas "
		    "authentifié ; connectez-vous avec votre identifiant pour utiliser cette "
		    "adresse",
		[REASON_MISSING_KEY] =
		    "le courrier de %{domain} ne peut pas être signé : aucune clé DKIM utilisable "
		    "; prévenez votre postmaster",
		[REASON_SIGNING_FAILURE] =
		    "le message n'a pas pu être signé",
		[REASON_BLOCKED] =
		    "l'envoi est bloqué pour le compte %{account}",
		[REASON_OVER] =
		    "ce message dépasserait la limite d'envoi de %{party} (%{limit}, déjà "
		    "%{used})%{retry}",
		[REASON_NEVER_FITS] =
		    "ce message dépasse à lui seul la limite d'envoi de %{party} (%{limit})",
		[REASON_STORE_AWAY] =
		    "les limites d'envoi ne peuvent pas être vérifiées pour le moment",
		[REPLY_OVER_SHARED] =
		    "ce message dépasserait une limite d'envoi de %{party}%{retry}",
		[REPLY_OVER_LEVEL] =
		    "une limite de %{party} est dépassée (%{limit}, compté : %{used})%{retry}",
		[REPLY_OVER_LEVEL_SHARED] =
		    "une limite de %{party} est dépassée%{retry}",
		[REPLY_OVER_HELD] =
		    "ce message dépasse la limite d'envoi de %{party} (%{limit}, déjà %{used})",
		[REPLY_NEVER_FITS_ZERO] =
		    "l'envoi n'est pas autorisé pour %{party} (limite 0)",
		[REPLY_BAD_LOGIN_UNKNOWN] =
		    "le serveur n'a pas pu déterminer votre identifiant",
		[REPLY_DISGUISED_OVERRIDE] =
		    "le nom affiché du champ %{display} contient un caractère de changement de "
		    "sens d'écriture",
		[REPLY_LATER] =
		    " ; réessayez plus tard",
		[REPLY_RETRY] =
		    " ; réessayez dans %{time}",
		[REPLY_HELP] =
		    " ; voir ",
		[REPLY_EXPLAINS] =
		    " ; ce domaine explique : ",
		[REPLY_DMARC_POLICY] =
		    ", dont la politique est %{policy}",
		[REPLY_WHO_LOGIN] =
		    "l'identifiant %{login}",
		[REPLY_WHO_ACCOUNT] =
		    "le compte %{account}",
		[REPLY_YOUR_DOMAIN] =
		    "votre domaine",
		[REPLY_YOUR_POOL] =
		    "votre organisation",
		[REPLY_YOUR_NETWORK] =
		    "votre réseau",
		[REPLY_SECOND] =
		    "1 seconde",
		[REPLY_SECONDS] =
		    "%{n} secondes",
		[REPLY_MINUTES] =
		    "%{n} minutes",
		[REPLY_HOURS] =
		    "%{n} heures",
	},
};

/* reply_texts_named - the texts of a language */
const struct reply_texts *
reply_texts_named(const char *name)
{
	static const struct reply_texts *const all[] = { &english, &french };

	for (size_t i = 0; i < COUNT_OF(all); i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}

/* reply_texts_option - the name of a text in the configuration */
const char *
reply_texts_option(TALLOC_CTX *ctx, size_t index)
{
	char *name;

	if (index >= REASON_COUNT)
		return reply_pieces[index - REASON_COUNT].name;
	name = mem_strdup(ctx, reply_row((enum reason)index)->word);
	for (char *p = name; *p != '\0'; p++)
		if (*p == '-')
			*p = '_';
	return name;
}

/* reply_texts_english - a text as it is by default */
static const char *
reply_texts_english(size_t index)
{
	return index < REASON_COUNT ? reply_row((enum reason)index)->text
				    : reply_pieces[index - REASON_COUNT].text;
}

/* reply_texts_get - a text */
const char *
reply_texts_get(const struct reply_texts *texts, size_t index)
{
	return texts != NULL && texts->text[index] != NULL ? texts->text[index]
							   : reply_texts_english(index);
}

/* may_have - is an item (len octets) known in a text? Pieces have their own items only */
static bool
may_have(size_t index, const char *item, size_t len)
{
	static const char *const of_reasons[] = { "address", "problem", "who", "login", "account",
		"party", "client", "field", "display", "domain", "limit", "used", "max", "retry",
		"spf_client", "explanation", "helo_explanation", "dmarc_policy" };
	const char *own = reply_texts_english(index), *at;

	for (at = strstr(own, "%{"); at != NULL; at = strstr(at + 2, "%{"))
		if (strncmp(at + 2, item, len) == 0 && at[2 + len] == '}')
			return true;
	for (size_t i = 0; index < REPLY_LATER && i < COUNT_OF(of_reasons); i++)
		if (strlen(of_reasons[i]) == len && memcmp(of_reasons[i], item, len) == 0)
			return true;
	return false;
}

/* reply_texts_ascii - a text without its accents */
char *
reply_texts_ascii(TALLOC_CTX *ctx, const char *text)
{
	size_t len = 0, n = 0;
	uint8_t *split =
	    u8_normalize(UNINORM_NFKD, (const uint8_t *)text, strlen(text), NULL, &len);
	char *plain = split != NULL ? mem_array(ctx, char, len + 1) : NULL;

	for (size_t i = 0; plain != NULL && i < len; i++) {
		/* U+0300 to U+036F: combined with the letter before it */
		if (i + 1 < len && (split[i] == 0xcc || (split[i] == 0xcd && split[i + 1] < 0xb0)))
			i++;
		else if (split[i] >= 0x20 && split[i] < 0x7f)
			plain[n++] = (char)split[i];
		else
			TALLOC_FREE(plain);
	}
	free(split);
	return plain;
}

/* reply_texts_check - may this be a text? */
bool
reply_texts_check(TALLOC_CTX *ctx, size_t index, const char *text, const char **error_r)
{
	const char *option = reply_texts_option(ctx, index), *at;
	size_t most = index >= REPLY_LATER ? REPLY_PIECE_MAX : REPLY_TEMPLATE_MAX;

	if (text[0] == '\0')
		*error_r = mem_printf(ctx, "the text \"%s\" is empty", option);
	else if (strlen(text) > most)
		*error_r = mem_printf(ctx, "the text \"%s\" has %zu bytes; %zu are the most", option,
		    strlen(text), most);
	else if (reply_texts_ascii(ctx, text) == NULL)
		*error_r = mem_printf(ctx, "the text \"%s\" has a character that a reply cannot show: "
		    "only printable ASCII and letters with accents, in UTF-8, are allowed", option);
	else
		*error_r = NULL;
	for (at = strstr(text, "%{"); *error_r == NULL && at != NULL; at = strstr(at + 2, "%{")) {
		size_t len = strcspn(at + 2, "}");

		if (at[2 + len] == '\0' || !may_have(index, at + 2, len))
			*error_r = mem_printf(ctx, "the text \"%s\" has the unknown item %.*s; it "
			    "is \"%s\" by default", option, (int)(len < 30 ? len + 3 : 33), at,
			    reply_texts_english(index));
	}
	return *error_r == NULL;
}
