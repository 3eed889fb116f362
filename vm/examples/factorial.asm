# Puts out the factorial of n by repeated addition.

loop:   t                       # t = product
        product zero
        zero t
        zero
        product                 # product = 0
        k                       # k = n
        n zero
        zero k
        zero
times:  t zero                  # product = product + t, k times
        zero product
        zero
        one k next
        zero zero times
next:   one n show              # n = n - 1, until it is 0
        zero zero loop
show:   product -1
        zero zero -1

n:      .data 10
product: .data 1
zero:   .data 0
one:    .data 1
t:      .data 0
k:      .data 0
