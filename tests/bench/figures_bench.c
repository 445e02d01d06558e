/*
 * figures_bench.c - what counting for "metrics" costs a message
 *
 *	figures_bench [MESSAGES]
 *
 * THREADS threads count MESSAGES messages each (200 000), all on the same listener, as a message
 * with one recipient, one table, one charge and six questions to DNS does. Lines "NAME VALUE UNIT":
 * CPU time for one message, alone and beside other threads.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "filter/daemon/figures.h"
#include "tests/bench/cpu.h"

#define THREADS		4
#define QUESTIONS	6
#define LOOKUPS		4

static struct figures figures;
static struct histogram store, dns;
static figures_number answers, cached;

/* count_message - all that is counted of one message */
static void
count_message(const struct facts *facts, const struct verdict *verdict)
{
	uint64_t since = histogram_now();

	for (int i = 0; i < FIGURES_STAGES; i++) {
		histogram_since(&figures.stages[i], since);
		since = histogram_now();
	}
	for (int i = 0; i < LOOKUPS; i++)
		figures_count(&figures.tables[0][i % 2]);
	for (int i = 0; i < QUESTIONS; i++) {
		since = histogram_now();
		figures_count(&answers);
		figures_count(&cached);
		histogram_since(&dns, since);
	}
	since = histogram_now();
	histogram_since(&store, since);
	figures_count(&figures.signatures[OUTCOME_PASS]);
	figures_count(&figures.verifications[DKIM_IS_PASS]);
	figures_count(&figures.dmarc[DMARC_IS_PASS]);
	figures_count(&figures.spf_mailfrom[SPF_IS_PASS]);
	figures_count(&figures.spf_helo[SPF_IS_PASS]);
	figures_message(&figures, facts, verdict);
}

/* run - a thread; its CPU time for one message through arg */
static void *
run(void *arg)
{
	const struct facts facts = { .listener = "users", .role = ROLE_SUBMISSION };
	const struct verdict verdict = { .action = ACTION_ACCEPT };
	double *each = arg;
	unsigned int n = (unsigned int)*each;
	double began = cpu_us();

	for (unsigned int i = 0; i < n; i++)
		count_message(&facts, &verdict);
	*each = (cpu_us() - began) / n;
	return NULL;
}

int
main(int argc, char **argv)
{
	double n = argc > 1 ? atof(argv[1]) : 200000, each[THREADS], alone = n, sum = 0;
	pthread_t threads[THREADS];

	(void)run(&alone);
	for (int i = 0; i < THREADS; i++) {
		each[i] = n;
		if (pthread_create(&threads[i], NULL, run, &each[i]) != 0)
			return 1;
	}
	for (int i = 0; i < THREADS; i++) {
		(void)pthread_join(threads[i], NULL);
		sum += each[i] / THREADS;
	}
	(void)printf("figures_message %.2f us\nfigures_message_%d_threads %.2f us\n", alone,
	    THREADS, sum);
	figures_free(&figures);
	return 0;
}
