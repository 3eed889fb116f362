# What compiled contracts look like: copies, sums, constants, comparisons, and a product by doubling, in a loop.

loop:   x                       # x = x0
        x0 zero
        zero x
        zero
        y                       # y = count
        count zero
        zero y
        zero
        y zero                  # x = x + y
        zero x
        zero
        sum                     # sum = 0
        bits                    # bits = 7
        m7 bits
        top                     # top = 64
        m64 top
        rest                    # rest = -factor
        factor rest
bit:    sum zero                # sum = 2 sum
        zero sum
        zero
        mtop rest set           # is the top bit in?
        top rest clear
set:    x zero                  # sum = sum + x
        zero sum
        zero
clear:  rest zero               # rest = 2 rest
        zero rest
        zero
        one bits compare
        zero zero bit
compare: d                      # d = sum - limit
        limit d
        sum zero
        zero d
        zero
        zero d small
        best                    # best = sum
        sum zero
        zero best
        zero
        zero zero more
small:  best                    # best = limit
        limit zero
        zero best
        zero
more:   one count done
        zero zero loop
done:   zero zero -1

zero:   .data 0
one:    .data 1
m7:     .data -7
m64:    .data -64
mtop:   .data -64
x0:     .data 12
x:      .data 0
y:      .data 0
sum:    .data 0
bits:   .data 0
top:    .data 0
rest:   .data 0
factor: .data 93
limit:  .data 100000
best:   .data 0
d:      .data 0
count:  .data 3000
