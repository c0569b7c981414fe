local M = { cleared = 1, no = false }
M.sub = { a = 1 }
return M
