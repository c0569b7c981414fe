return { m = function() return require "m" end }
