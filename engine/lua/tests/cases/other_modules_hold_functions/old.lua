local M = {}
function M.f() return "old" end
local function callback() return "old callback" end
function M.start() require("bus").on(callback) end
return M
