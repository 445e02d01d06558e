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

/* charge_message - at the end: charge the message where it is not over, and gather what came of
 * it */
void charge_message(struct message *message);

/* charge_offence - a message was decided: where it is refused for a foreign sender, count that
 * towards block_on */
void charge_offence(struct message *message);

#endif
