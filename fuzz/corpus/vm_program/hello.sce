#pragma N=0 entry=0 io=ascii
12 -1 3
13 -1 6
14 -1 9
0 0 -1
12:72 105 10
