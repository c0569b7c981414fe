local M = {}
function M.a() return "new a" end
function M.b() return "new b" end
return M
