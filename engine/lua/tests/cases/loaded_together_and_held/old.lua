local helper = require "helper"
local M = {}
function M.f() return helper.name() end
function M.more() return helper.more end
return M
