# Sorts the cells from `array` to `end` in place, ascending: a bubble sort.
#
# Subleq has no indexed access, so the program modifies itself: the operands named by the labels below are its
# pointers, and each inner step moves them on by one cell.

start:
outer:  one left done            # passes left; the last one compares a single pair
        k                        # k = left
        left z
        z k
        z
        right_a                  # right_a = array + 1
        first+1 z
        z right_a
        z
        left_a                   # left_a = array
        first z
        z left_a
        z
        left_b
        first z
        z left_b
        z
        right_b
        first+1 z
        z right_b
        z
inner:  d                        # d = left cell - right cell
right_a: .data 0               # its A
        .data d, ?
left_a: .data 0                # its A
        .data z, ?
        z d
        z
        z d next                 # in order: leave them
        .data d
left_b: .data 0, ?             # its B: left cell -= d
        d z
        .data z
right_b: .data 0, ?            # its B: right cell += d
        z
next:   minus_one right_a
        minus_one left_a
        minus_one left_b
        minus_one right_b
        one k outer
        z z inner
done:   z z -1

z:      .data 0
d:      .data 0
k:      .data 0
one:    .data 1
minus_one: .data -1
first:  .data array, array+1
left:   .data end-array
array:  .data 31, -4, 15, 92, -65, 35, 89, 79, -3, 23, 84, 62
end:
