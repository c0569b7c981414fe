local M = load_module()
local kept = shared
shared.hits = 5
reload()
expect(shared, kept)
expect(shared.hits, 5)
expect(first(), "new")
expect(M.get(), kept)
expect(M.env, _G)
expect(M.real(), _G, "what a source kept of its environment is the globals")
expect(seen_after, "new")
