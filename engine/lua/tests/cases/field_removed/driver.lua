local M = load_module()
local gone = M.gone
local mine = function() return "run time" end
M.changed = mine
local report = reload()
expect(M.gone, nil)
expect(gone(), "old", "a held reference still runs")
expect(M.data, 1)
expect(M.changed, mine)
expect(stale, nil)
expect_line(report, "removed m.gone")
expect_line(report, "removed stale")
expect_line(report, "kept m.data: it is no longer in the source")
