local M = load_module()
local table_sort, original = table.sort, tostring
reload()
expect(M.log(1), "logged 1")
expect(M.sorted({ 2, 1 })[1], "sorted by the module")
expect(M.sort(), "own")
expect(M.same, math.floor)
expect(M.cfg.own, true)
-- Nowhere else.
expect(math.own, nil)
expect(table.sort, table_sort)
expect(tostring, original)
expect(tostring(1), "1")
