/*
 * questions.h - the DNS queries of a check, counted and bounded
 * For the files of this room. Threads: a check belongs to one thread.
 */
#ifndef FILTER_SPF_QUESTIONS_H
#define FILTER_SPF_QUESTIONS_H

#include "filter/spf/check.h"

/* spf_force - fix the result; the first one stands */
void spf_force(struct check *check, enum spf_result result, const char *problem);

/* spf_address_type - the record type that holds addresses of the client's family */
enum dns_type spf_address_type(const struct check *check);

/* spf_ask_until - one question, within the budget of the check
 * A name that cannot be asked for does not exist (RFC 7208 section 4.3), and is no void
 * lookup, because it is no lookup. Returns an answer that belongs to check. */
struct dns_answer *spf_ask_until(struct check *check, const char *name, size_t len,
    enum dns_type type, int64_t deadline_ms);

/* spf_ask - one question that may take all the time that is left */
struct dns_answer *spf_ask(struct check *check, const char *name, size_t len, enum dns_type type);

/* spf_half_time - the middle between now and the deadline
 * Questions whose failure is forgiven get no more than that, so that a dead
 * reverse zone cannot use up the time of what decides. */
int64_t spf_half_time(const struct check *check);

/* spf_ask_ahead - start a question that will probably be asked */
void spf_ask_ahead(struct check *check, const char *name, size_t len, enum dns_type type);

/* spf_count_term - count a term that queries DNS (RFC 7208 section 4.6.4); false past the limit */
bool spf_count_term(struct check *check);

/* spf_count_void - count an answer without records; false past the limit */
bool spf_count_void(struct check *check, bool is_void);

/* spf_answer_is_void - whether a question was asked and answered without records
 * A name that exists, only without an address of the kind that this client has, is no sign of a
 * record that makes others ask in vain; it counts if the letter of RFC 7208 is wanted. */
bool spf_answer_is_void(const struct check *check, const struct dns_answer *answer,
    const char *name, size_t len, enum dns_type type);

/* spf_has_client - whether one of the addresses agrees with the client's in so many bits */
bool spf_has_client(
    const struct check *check, const struct dns_answer *answer, unsigned int prefix);

/* spf_find_names - find the validated names of the client, once per check */
void spf_find_names(struct check *check);

/* spf_prepare_values - set what depends on the domain whose text is expanded */
void spf_prepare_values(struct check *check, const char *domain, struct spf_text text);

#endif
