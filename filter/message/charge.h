/*
 * charge.h - a message and its limits
 *
 * Threads: as for the message, one at a time.
 */
#ifndef FILTER_MESSAGE_CHARGE_H
#define FILTER_MESSAGE_CHARGE_H

#include "filter/message/message.h"

/* charge_plan - at MAIL, once the account is known: who is charged, by which plans, and what being
 * over does */
void charge_plan(struct message *message);

/* charge_known - at MAIL: gather whether the account is blocked or was just found over; asks
 * nobody */
void charge_known(struct message *message);

/* charge_message - at the end: charge the message if it is not over, and gather what came of
 * it */
void charge_message(struct message *message);

/* charge_offence - a message was decided: count the signs of a stolen account that it shows towards
 * block_on (that it was refused for a foreign sender or over a limit, to whom it went and where it
 * came from), and a foreign sender towards limits */
void charge_offence(struct message *message);

/* charge_usual - a message passed, and the journal knows it: if the plan has "N times usual", let
 * the account's hour be compared with what is usual. In mode enforce only. */
void charge_usual(struct message *message);

/*
 * charge_thing - count a thing of a unit that counts different ones, towards limits and block_on
 * thing: a text, the same for the same thing. block_on counts in mode enforce only.
 */
void charge_thing(struct message *message, enum limit_unit unit, const char *thing);

/*
 * charge_event - the same towards the limits alone that the parties of plans have, in any mode
 * window_ms: of limits with this window; 0: of any
 */
void charge_event(struct message *message, const struct plans *plans, enum limit_unit unit,
    int64_t window_ms, const char *thing);

/* charge_event_id - the id of another charge than that of the message, into QUOTA_ID_LEN octets
 * mark: of the thing that is counted; serial tells charges of one thing apart. */
void charge_event_id(const struct message *message, uint64_t mark, uint8_t serial, uint8_t *id);

/* charge_thing_to - count a thing towards number i of the block_on that the account's plan has */
void charge_thing_to(struct message *message, size_t i, const char *thing);

#endif
