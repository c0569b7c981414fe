local hot = require "hot"
local M = { log = {} }
hot.on("after_update", function(names) M.log[#M.log + 1] = "after " .. table.concat(names, "+") end)
hot.on("error", function(message) M.heard = message end)
return M
