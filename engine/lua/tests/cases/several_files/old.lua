local dep = require "dep"
local M = {}
function M.f() return "old " .. dep.g() end
function M.table() return dep end
return M
