"""The user's own environments: conversion of their spaces, and their errors."""
