"""Events leave: those of one person, with a receipt, and those that are older than a project keeps.

batches         many events removed, a few at a time
receipts        one person's events removed at once, and whether every mirror has forgotten them
deletion        a project deleted, its events in the background
expiry          the background job of a server that removes what is older
storage_period  how long each project keeps events, and the removal of older ones
"""
