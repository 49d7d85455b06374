"""The real programs over real sockets, killed, stopped and cut at random: `just chaos N SEED`.

One seed decides what the monkey does and when. What the operating system makes of it is its own
affair, so a run is repeated in kind and not to the letter; the simulation is what repeats exactly.
"""
