# Puts out "Hello, Cryptoleq!" and a line feed, a character a cell.

loop:   message -1              # its A walks over the message
        minus_one loop          # A = A + 1
        one left done
        zero zero loop
done:   zero zero -1

zero:   .data 0
one:    .data 1
minus_one: .data -1
left:   .data end-message
message: .text "Hello, Cryptoleq!\n"
end:
