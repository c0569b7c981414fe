local M = { cleared = 2, no = true, added = false, text = "new" }
M.sub = { a = 1, b = { c = 3 } }
function M.fresh() return M end
return M
