local helper = require "helper"
local M = {}
function M.f() return helper.name() end
return M
