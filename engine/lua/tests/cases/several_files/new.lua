local dep = require "dep"
local at_load = dep.fresh()
local M = {}
function M.f() return "new " .. dep.g() .. at_load end
function M.table() return dep end
return M
