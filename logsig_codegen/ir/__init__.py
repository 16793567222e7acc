"""The two intermediate representations: graded Lie programs, and straight-line programs over scalars."""
