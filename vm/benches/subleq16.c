/* A plain interpreter of 16-bit Subleq, unchecked, to compare with: reads ROUNDS and a program from standard input, runs the
 * program that often from its first memory, and prints the steps of one round and the nanoseconds of all. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int16_t image[65536], mem[65536];

static uint64_t run(void) {
    uint64_t steps = 0;
    int16_t pc = 0;
    while (pc >= 0) {
        uint16_t a = (uint16_t)mem[pc], b = (uint16_t)mem[pc + 1];
        mem[b] = (int16_t)(mem[b] - mem[a]);
        pc = mem[b] <= 0 ? mem[pc + 2] : (int16_t)(pc + 3);
        steps++;
    }
    return steps;
}

int main(void) {
    int rounds, cell, len = 0;
    if (scanf("%d", &rounds) != 1) return 1;
    while (len < 65536 && scanf("%d", &cell) == 1) image[len++] = (int16_t)cell;
    uint64_t steps = 0, best = UINT64_MAX;
    for (int i = 0; i < rounds; i++) {
        struct timespec from, to;
        memcpy(mem, image, sizeof mem);
        clock_gettime(CLOCK_MONOTONIC, &from);
        steps = run();
        clock_gettime(CLOCK_MONOTONIC, &to);
        uint64_t ns = (uint64_t)(to.tv_sec - from.tv_sec) * 1000000000u + (uint64_t)to.tv_nsec - (uint64_t)from.tv_nsec;
        if (ns < best) best = ns;
    }
    for (int i = 0; i < len; i++) printf("%d ", mem[i]);
    printf("\n%llu %llu\n", (unsigned long long)steps, (unsigned long long)best);
    return 0;
}
