local hot = require "hot"
local m = require "m"
local speed = m.speed
local A = {}
hot.accept("m", function(new) accepted = new == m speed = new.speed end)
function A.speed() return speed end
return A
