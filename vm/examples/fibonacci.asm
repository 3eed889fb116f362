# Fibonacci numbers of encrypted seeds: a and b are ciphertexts, the counter is open.
#
# Nothing is decrypted: each sum is a product of residues.

loop:   a z                     # a = a + b, by a = a - (0 - b), then swap the two
        b t                     # t = -b
        t a                     # a = a + b
        t
        z b2                    # b2 = old a
        z
        b                       # b = b2
        b2 z
        z b
        z
        b2
        one count done
        z z loop
done:   z z -1

z:      .data 0
t:      .data 0
b2:     .data 0
one:    .data 1
count:  .data 30
a:      .data 1
b:      .data 0
