"""Where money meets ranking: amounts, auctions, budgets, pacing, targeting and the ledger of spend."""
