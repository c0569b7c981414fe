local M = {}
function M.a() return "old a" end
function M.b() return "old b" end
return M
