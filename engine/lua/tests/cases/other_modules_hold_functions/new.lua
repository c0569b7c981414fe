local M = {}
function M.f() return "new" end
local function callback() return "new callback" end
function M.start() require("bus").on(callback) end
return M
