"""A search for wrong yeses that goes on: pairs of networks whose truth is known from torch.

snippets     ordinary torch in the styles that people write, a file for each style
corpus       what a snippet is, how inputs are drawn for it, and the programs that are made of it
edits        how one call of a graph is put in another's place
changes      every single-point change of a graph that may alter its function
rewritings   changes that do not
truth        what torch computes, and how far apart two computations are, measured in their own rounding
trials       one pair put to ``certify``, one network put to ``collapse``
search       draws trials equally by kind, in forked children, and keeps the records
"""
