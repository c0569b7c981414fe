local M = { untouched = "one", touched = "one", bool = { on = true } }
local a, b = { 1 }, { 1 }
function M.a() return a end
function M.b(value) if value then b = value end return b end
return M
