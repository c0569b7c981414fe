local M = { data = 1 }
function M.f() return "old" end
return M
