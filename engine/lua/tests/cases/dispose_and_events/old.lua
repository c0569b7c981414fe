local hot = require "hot"
log = {}
hot.dispose(function(data) data.left = "by the old" end)
hot.on("before_update", function(names) log[#log + 1] = "before " .. table.concat(names, "+") end)
hot.on("after_update", function(names) log[#log + 1] = "after " .. table.concat(names, "+") end)
hot.on("error", function(message) log[#log + 1] = "error " .. message end)
return { hot = function() return hot end }
